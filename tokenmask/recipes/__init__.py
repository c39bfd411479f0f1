"""Recipes: a system as a page of YAML that composes components.

Arrow: YAML + command-line fields --> **Recipe** --> Run. Does not know: how any component works.

Each YAML file of this folder is one system and names its paper; its ``tiny`` part is what the tests train.
"""

from tokenmask.recipes.reading import list_recipes, load_recipe, recipe_as_written, recipe_yaml, same_recipe
from tokenmask.recipes.recipe import Budget, Recipe, StreamOptions

__all__ = [
    "Budget",
    "Recipe",
    "StreamOptions",
    "list_recipes",
    "load_recipe",
    "recipe_as_written",
    "recipe_yaml",
    "same_recipe",
]
