"""`python -m soundlasso` is the command `soundlasso`."""

from soundlasso.bridge.cli import main

if __name__ == "__main__":
    main()
