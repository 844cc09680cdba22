"""Radial power spectra of fields: which scales a network gets right (Parseval's identity fixes the scaling)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pdeflow.report.canvas import label_axes, line_style, new_figure, save_figure, save_numbers


def radial_spectrum(fields: np.ndarray) -> np.ndarray:
    """Power of the discrete Fourier transform, summed over rings of integer wavenumber, mean over the samples.

    Args:
        fields: Values, shape (N, nx, ny).

    Returns:
        Power by ring |k| = 0, 1, …, min(nx, ny) // 2, dimensionless; Parseval: all rings would add to mean(field²).

    Raises:
        ValueError: If the array is not (N, nx, ny).
    """
    fields = np.asarray(fields, dtype=float)
    if fields.ndim != 3 or len(fields) == 0:
        raise ValueError(f"fields: expected shape (N, nx, ny) with N >= 1, found {fields.shape}.")
    nx, ny = fields.shape[1:]
    power = np.zeros((nx, ny))
    for field in fields:  # one at a time: the transform is complex and twice as large
        power += np.abs(np.fft.fft2(field) / (nx * ny)) ** 2 / len(fields)
    kx, ky = np.fft.fftfreq(nx, 1 / nx), np.fft.fftfreq(ny, 1 / ny)
    ring = np.rint(np.hypot(kx[:, None], ky[None, :])).astype(int)
    return np.bincount(ring.ravel(), weights=power.ravel())[: min(nx, ny) // 2 + 1]


def plot_spectrum(path: str | Path, target: np.ndarray, prediction: np.ndarray) -> Path:
    """Draw the radial power spectra of target, prediction and error: where the network loses the fine scales.

    Args:
        path: PNG to write; the spectra go to the ``.csv`` beside it.
        target: Solutions, shape (N, nx, ny).
        prediction: Predictions, same shape.

    Returns:
        The path written.

    Raises:
        ValueError: If the shapes differ.
    """
    target, prediction = np.asarray(target, dtype=float), np.asarray(prediction, dtype=float)
    if target.shape != prediction.shape:
        raise ValueError(
            f"target and prediction: expected equal shapes, found {target.shape}, {prediction.shape}."
        )
    spectra = {
        "target": radial_spectrum(target),
        "prediction": radial_spectrum(prediction),
        "error": radial_spectrum(prediction - target),
    }
    figure = new_figure(6.0, 4.2)
    axes = figure.subplots()
    for index, (name, power) in enumerate(spectra.items()):
        axes.semilogy(
            np.arange(len(power)), np.where(power > 0, power, np.nan), label=name, **line_style(index)
        )
    label_axes(
        axes,
        "radial power spectrum, mean over samples",
        "wavenumber |k| (waves per domain length)",
        "power (dimensionless)",
    )
    save_numbers(
        path,
        ("wavenumber", *spectra),
        [(k, *map(float, v)) for k, v in enumerate(zip(*spectra.values(), strict=True))],
    )
    return save_figure(figure, path)
