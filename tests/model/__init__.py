"""A model of one run's life, explored exhaustively: what supervisors, trainers and two dashboards may do in any order.

What is decided is decided by the project's own code, run as it is (`real.py`); only what it reads and writes is a small
world of facts (`world.py`), so that every interleaving can be tried (`search.py`).
"""
