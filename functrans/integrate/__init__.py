"""`functrans.integrate`: ordinary differential equations, differentiable in both modes."""

from functrans.integrate.odes import odeint as odeint
