package auth

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
)

// The hashing algorithms, by RabbitMQ's names. MD5 is only read, for users imported from old brokers.
const (
	SHA256 = "rabbit_password_hashing_sha256"
	SHA512 = "rabbit_password_hashing_sha512"
	MD5    = "rabbit_password_hashing_md5"
)

const saltBytes = 4

// HashPassword makes a PasswordHash with SHA256 from a password and four random bytes.
func HashPassword(password string, salt [saltBytes]byte) []byte {
	return append(salt[:], saltedHash(SHA256, salt[:], password)...)
}

// CheckPassword compares in constant time. A user without a hash has no password that fits.
func (u *User) CheckPassword(password string) bool {
	stored := u.PasswordHash
	usable := len(stored) > saltBytes
	if !usable {
		stored = make([]byte, saltBytes+sha256.Size)
	}
	hash := saltedHash(u.HashingAlgorithm, stored[:saltBytes], password)
	return subtle.ConstantTimeCompare(hash, stored[saltBytes:]) == 1 && usable
}

func saltedHash(algorithm string, salt []byte, password string) []byte {
	salted := append(append(make([]byte, 0, saltBytes+len(password)), salt...), password...)
	switch algorithm {
	case "", SHA256:
		h := sha256.Sum256(salted)
		return h[:]
	case SHA512:
		h := sha512.Sum512(salted)
		return h[:]
	case MD5:
		h := md5.Sum(salted)
		return h[:]
	default:
		return nil // equals no stored hash
	}
}
