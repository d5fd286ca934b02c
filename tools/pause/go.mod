module sarvam-operator/tools/pause

go 1.25
