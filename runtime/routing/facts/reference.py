"""Quantiles of the number of words over the reference sample.

Written by scripts/fit_reference.py; do not edit.
Prompts: mmlu_open 2,000, gsm8k_open 636, mtbench_open 80, ulab_train_open 2,000.
"""

from __future__ import annotations

QUANTILES: tuple[float, ...] = (
    2, 6, 7, 8, 8, 8, 9, 9, 9, 10, 10, 11,
    11, 12, 12, 13, 13, 14, 14, 15, 15, 16, 17, 17,
    18, 19, 20, 20, 21, 22, 22, 23, 24, 24, 25, 26,
    27, 27, 28, 29, 29, 30, 31, 31, 32, 33, 34, 34,
    35, 36, 37, 38, 39, 39, 40, 41, 42, 43, 44, 45,
    46, 47, 48, 49, 50, 51.75, 53, 54, 55, 57, 58, 60,
    62, 64, 66, 68, 70, 71, 73, 75, 76, 78, 81, 83,
    87, 91, 99, 111.05, 126, 144.7, 162.5, 178, 194, 212, 229, 246.25,
    273.8, 299.55, 335, 381.25, 767,
)  # fmt: skip
