"""How much a label would tell: uncertainty of frames and videos, and the latents, over the whole pool."""
