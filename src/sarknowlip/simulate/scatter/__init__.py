"""How surfaces, buildings and targets send radar waves back."""

from sarknowlip.simulate.scatter.backscatter import Backscatter
from sarknowlip.simulate.scatter.conditions import Conditions

__all__ = ["Backscatter", "Conditions"]
