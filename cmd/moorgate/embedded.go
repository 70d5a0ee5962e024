package main

// What a machine may lack, such as a container FROM scratch: the authorities that
// sign public certificates, and the time zones that conditions name. Those of the
// machine count where it has some.
import (
	_ "time/tzdata"

	_ "golang.org/x/crypto/x509roots/fallback"
)
