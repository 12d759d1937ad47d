"""What every other package stands on: components, the store, processes, intervals, the device."""
