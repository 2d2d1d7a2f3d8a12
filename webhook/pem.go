package webhook

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
)

// parsePublicKey reads a public key: PEM (a key or a certificate), base64 of its DER, or for
// ed25519 the 32 bytes themselves in hex, base64 or whpk_ form.
func parsePublicKey(a *algorithm, text string) (crypto.PublicKey, error) {
	der, raw := decodeKey(text)
	if a.kind == kindEd25519 && len(raw) == ed25519.PublicKeySize {
		return ed25519.PublicKey(raw), nil
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		if rsaKey, e := x509.ParsePKCS1PublicKey(der); e == nil {
			key, err = rsaKey, nil
		} else if cert, e := x509.ParseCertificate(der); e == nil {
			key, err = cert.PublicKey, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: it must be a public key as PEM or as base64 of DER", ErrKey)
	}
	return key, fits(a, key)
}

// fits refuses keys of another kind than the algorithm's: the provider decides which, not the key.
func fits(a *algorithm, key crypto.PublicKey) error {
	ok := false
	switch key := key.(type) {
	case ed25519.PublicKey:
		ok = a.kind == kindEd25519
	case *ecdsa.PublicKey:
		ok = a.kind == kindECDSA
	case *rsa.PublicKey:
		ok = (a.kind == kindRSA || a.kind == kindPSS) && key.N.BitLen() >= 1024 && key.Size() <= maxSignature
	}
	if !ok {
		return fmt.Errorf("%w: this provider needs %s", ErrKey, a.keyName())
	}
	return nil
}

func (a *algorithm) keyName() string {
	switch a.kind {
	case kindEd25519:
		return "an ed25519 key"
	case kindECDSA:
		return "an ECDSA key"
	}
	return "an RSA key of 1024 to 4096 bits"
}

// parsePrivateKey reads a private key, to sign with: PEM, base64 of PKCS #8, or for ed25519 the
// seed in hex, base64 or whsk_ form.
func parsePrivateKey(a *algorithm, text string) (crypto.Signer, error) {
	der, raw := decodeKey(text)
	if a.kind == kindEd25519 && (len(raw) == ed25519.SeedSize || len(raw) == ed25519.PrivateKeySize) {
		return ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize]), nil
	}
	var key any
	var err error
	if key, err = x509.ParsePKCS8PrivateKey(der); err != nil {
		if k, e := x509.ParsePKCS1PrivateKey(der); e == nil {
			key, err = k, nil
		} else if k, e := x509.ParseECPrivateKey(der); e == nil {
			key, err = k, nil
		}
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, fmt.Errorf("%w: it must be a private key as PEM or as base64 of DER", ErrKey)
	}
	return signer, fits(a, signer.Public())
}

// decodeKey answers the bytes of a key's text as DER, and as they are.
func decodeKey(text string) (der, raw []byte) {
	text = strings.TrimSpace(text)
	if block, _ := pem.Decode([]byte(text)); block != nil {
		return block.Bytes, nil
	}
	for _, prefix := range []string{publicPrefix, privatePrefix} {
		text = strings.TrimPrefix(text, prefix)
	}
	if b, err := hex.DecodeString(text); err == nil {
		return b, b
	}
	if b, err := base64.StdEncoding.DecodeString(text); err == nil {
		return b, b
	}
	b, _ := base64.RawURLEncoding.DecodeString(text)
	return b, b
}
