"""`python -m chamberlain`: the same program as the `chamberlain` command."""

from chamberlain.cli.main import main

if __name__ == "__main__":
    main()
