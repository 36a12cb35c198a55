"""The walks over ASL's formats, AZFP and AZFP6."""
