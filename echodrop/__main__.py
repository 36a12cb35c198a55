"""`python -m echodrop` is the command `echodrop`."""

from echodrop import main

if __name__ == "__main__":
    main()
