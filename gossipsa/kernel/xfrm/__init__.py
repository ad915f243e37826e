"""The kernel's IPsec by netlink: `open_xfrm_kernel`."""

from gossipsa.kernel.xfrm.kernel import XfrmKernel, XfrmSettings, open_xfrm_kernel
from gossipsa.kernel.xfrm.preload import COMMON_CIPHERS, preload_ciphers

__all__ = ["COMMON_CIPHERS", "XfrmKernel", "XfrmSettings", "open_xfrm_kernel", "preload_ciphers"]
