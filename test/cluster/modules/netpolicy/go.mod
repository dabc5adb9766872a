module atomshard.dev/test/cluster/netpolicy

go 1.26.0
