"""How surfaces, buildings and targets send radar waves back."""
