"""Sweeps: one notebook over a grid of parameters, through papermill, here or on a dask cluster.

`grids` says which notebooks there are, `work` executes one of them with a store of its own,
`executors` and `clusters` are where that happens, `ledger` hands out the budget, `driver` gives out
work and is the only one who writes the user's store, `outcome` is what comes back, and `driving` is
the way in.
"""
