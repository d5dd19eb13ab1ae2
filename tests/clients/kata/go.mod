module myna/tests/clients/kata

go 1.19

require github.com/kata-containers/govmm v0.0.0-20220119175834-88960a15dacd
