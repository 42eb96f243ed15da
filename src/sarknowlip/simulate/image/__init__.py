"""From scatterers on the ground to pixels: geometry, impulse response, speckle, noise."""
