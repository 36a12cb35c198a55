"""The walks over Simrad's formats, EK60's and EK80's."""
