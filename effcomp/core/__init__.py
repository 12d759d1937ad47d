"""Foundations that every other package uses: components, the store, processes, intervals, the device."""
