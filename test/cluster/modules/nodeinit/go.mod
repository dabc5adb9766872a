module atomshard.dev/test/cluster/nodeinit

go 1.26.0
