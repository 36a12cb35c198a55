"""Lists uploads and outputs, and puts each upload into a class."""
