"""The rules of sequence-number safety as a small model, and the program that has Spin check it.

`python -m formal` checks the model, then leaves out one rule after the other: each has to be missed.
"""
