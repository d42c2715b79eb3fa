"""Fit the calibration of the model inside the package (or of --model DIR), write it beside the weights, print before and after.

python scripts/calibrate.py [--model DIR] [--tables] [--check]      # the same as `varco-vision eval calibrate`
"""

from __future__ import annotations

import sys

from varco_vision.cli.main import main

if __name__ == "__main__":
    sys.argv[1:] = ["eval", "calibrate", *sys.argv[1:]]
    main()
