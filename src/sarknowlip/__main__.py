"""`python -m sarknowlip`."""

from sarknowlip.cli import main

main()
