"""Lossless packing, chunks, and the writers of Zarr and netCDF. Imports core."""
