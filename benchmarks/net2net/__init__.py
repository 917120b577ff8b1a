"""The experiments of the Net2Net paper, with everything in the loop being the product. See docs/net2net.md."""
