"""Programs that run inside the jail, and the wire formats that both sides share.

Nothing here may import the rest of the package: the folder is mounted alone.
"""
