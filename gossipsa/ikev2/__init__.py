"""As much of IKEv2 as it takes to speak for a gateway that died: messages, keys, and the sign-of-life probe.

No IO, no clock and no randomness: IVs, nonces and SPIs are arguments. Parsing is strict, and refuses with
subclasses of `errors.IkeMessageError` only.
"""
