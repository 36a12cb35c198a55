"""Claims, the order of a publication, verification and the manifest. Imports stores, encoding and rawfile."""
