"""`scipy.signal`: convolutions, filters and spectra, differentiable in signals and filters."""

from functrans.scipy.signal.convolutions import convolve as convolve
from functrans.scipy.signal.convolutions import convolve2d as convolve2d
from functrans.scipy.signal.convolutions import correlate as correlate
from functrans.scipy.signal.convolutions import correlate2d as correlate2d
from functrans.scipy.signal.convolutions import fftconvolve as fftconvolve
from functrans.scipy.signal.filters import lfilter as lfilter
from functrans.scipy.signal.filters import sosfilt as sosfilt
from functrans.scipy.signal.smoothing import savgol_filter as savgol_filter
from functrans.scipy.signal.spectra import csd as csd
from functrans.scipy.signal.spectra import istft as istft
from functrans.scipy.signal.spectra import stft as stft
from functrans.scipy.signal.spectra import welch as welch
from functrans.scipy.signal.trends import detrend as detrend
