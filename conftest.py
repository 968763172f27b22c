"""Names that docstring examples use without importing them, and quiet plots."""

import os

import numpy as np
import pytest

os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(autouse=True)
def _names_in_doctests(doctest_namespace: dict) -> None:
    import functrans as ft

    doctest_namespace.update(np=np, ft=ft, fnp=ft.numpy, at=ft.at)
