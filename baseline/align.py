"""Laying a restored picture onto the sharp one, for data sets whose two cameras do not stand in line (RealBlur)."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baseline.metrics import as_saved

Plane = NDArray[np.float32]
"""H,W or H,W,3 in 0..1."""

_ITERATIONS = 100
_ENOUGH = 1e-6
"""Less gain in correlation than that ends the search; the authors take all iterations, which moves the PSNR by less
than 0.001 dB and takes four times as long."""

_SMOOTHING = 5
"""The side in pixels of the Gaussian that both pictures are smoothed with while the alignment is sought."""

_LEAST_SHARE = 0.5
"""A homography that leaves less of the picture than that is no alignment."""


def align(restored: Tensor, sharp: Tensor) -> tuple[Tensor, Tensor] | None:
    """Both 1,3,H,W in 0..1, the restored one laid onto the sharp one, cut to where it is defined; None if that fails.

    As the authors of RealBlur evaluate (Rim et al., ECCV 2020): one factor for the brightness, then the homography with
    the best correlation of the grey pictures (ECC; Evangelidis and Psarakis, 2008). They average over the
    defined pixels, we over the largest frame that holds defined pixels only, which every metric can be asked about.
    """
    ours, theirs = _plane(restored), _plane(sharp)
    ours *= np.vdot(theirs, ours) / (float(np.vdot(ours, ours)) or 1.0)
    matrix = _homography(ours, theirs)
    if matrix is None:
        return None
    size, inverse = (theirs.shape[1], theirs.shape[0]), cv2.WARP_INVERSE_MAP
    warped = cv2.warpPerspective(ours, matrix, size, flags=cv2.INTER_CUBIC | inverse, borderMode=cv2.BORDER_REFLECT)
    whole = np.ones(theirs.shape[:2], np.float32)
    defined = cv2.warpPerspective(whole, matrix, size, flags=cv2.INTER_LINEAR | inverse) > 0.999
    frame = inner_frame(defined)
    if defined[frame].size < _LEAST_SHARE * defined.size:
        return None
    return torch.from_numpy(warped[frame].transpose(2, 0, 1).copy())[None], sharp[..., *frame]


def inner_frame(defined: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns of a frame that holds true values only: the border with the most false ones goes, until none."""
    top, bottom, left, right = 0, defined.shape[0], 0, defined.shape[1]
    while top < bottom and left < right:
        inner = defined[top:bottom, left:right]
        shares = [inner[0].mean(), inner[-1].mean(), inner[:, 0].mean(), inner[:, -1].mean()]
        worst = int(np.argmin(shares))
        if shares[worst] == 1:
            break
        top, bottom, left, right = top + (worst == 0), bottom - (worst == 1), left + (worst == 2), right - (worst == 3)
    return slice(top, bottom), slice(left, right)


def _homography(moving: Plane, fixed: Plane) -> Plane | None:
    """Where each pixel of the fixed picture lies in the moving one, as a 3x3 matrix; None if none was found."""
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _ITERATIONS, _ENOUGH)
    start = np.eye(3, dtype=np.float32)
    to, what = (cv2.cvtColor(plane, cv2.COLOR_RGB2GRAY) for plane in (fixed, moving))
    everywhere = np.ones(fixed.shape[:2], np.uint8)
    try:
        _, matrix = cv2.findTransformECC(to, what, start, cv2.MOTION_HOMOGRAPHY, criteria, everywhere, _SMOOTHING)
    except cv2.error as error:
        if error.code != cv2.Error.StsNoConv:
            raise
        return None
    return np.asarray(matrix, np.float32)


def _plane(picture: Tensor) -> Plane:
    """1,3,H,W -> H,W,3."""
    return np.ascontiguousarray(as_saved(picture)[0].permute(1, 2, 0).float().numpy())
