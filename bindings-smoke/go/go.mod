module storagedriver-smoke

go 1.19
