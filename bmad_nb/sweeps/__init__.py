"""Sweeps: one notebook over a grid of parameters, through papermill, here or on a dask cluster.

`grids` says which notebooks there are, `work` executes one of them with a store of its own,
`executors` are where that happens, `ledger` hands out the budget, `driving` is the one who gives
out work and the only one who writes the user's store, and `outcome` is what comes back.
"""
