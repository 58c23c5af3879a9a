"""Figures that seaborn does not have: arrays and tables in, matplotlib figures out."""
