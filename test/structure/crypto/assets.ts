/**
 * The cryptography in the toolkit's own code: what it is, what it is for, and how a line of source that uses it looks. From
 * here the inventory (CBOM) is made; a test holds that no call of node:crypto is without a row.
 */

/** One algorithm, in the words of CycloneDX 1.6 (`cryptoProperties.algorithmProperties`). */
export interface CryptoAlgorithm {
  readonly name: string
  readonly primitive:
    | 'ae'
    | 'block-cipher'
    | 'drbg'
    | 'hash'
    | 'kdf'
    | 'kem'
    | 'key-agree'
    | 'mac'
    | 'other'
    | 'signature'
    | 'stream-cipher'
  readonly parameterSet?: string
  readonly functions: readonly (
    | 'decapsulate'
    | 'decrypt'
    | 'digest'
    | 'encapsulate'
    | 'encrypt'
    | 'generate'
    | 'keyderive'
    | 'keygen'
    | 'sign'
    | 'tag'
    | 'verify'
  )[]
  /** Strength against a classical computer, in bits; left out where it isn't computational. */
  readonly classicalBits?: number
  /** NIST's category against a quantum computer, 1 to 6; 0 where there is none. */
  readonly quantumLevel?: number
  /** What it is for, and whose choice it is. */
  readonly use: string
  /** Lines of source with it. */
  readonly found: RegExp
}

/** A protocol whose records or keys the toolkit makes itself, or has made by node:tls. */
export interface CryptoProtocol {
  readonly name: string
  readonly type: 'tls' | 'ike' | 'other'
  readonly version?: string
  readonly use: string
  readonly found: RegExp
}

export const algorithms: readonly CryptoAlgorithm[] = [
  {
    name: 'One-time pad',
    primitive: 'stream-cipher',
    functions: ['encrypt', 'decrypt'],
    use: 'each hop of a relay, and keys of the level one-time-pad; secret whatever is computed',
    found: /\boneTimePad\b|\bxorPad\b/,
  },
  {
    name: 'Wegman-Carter',
    primitive: 'mac',
    functions: ['tag', 'verify'],
    use: 'classical channel of a BB84 link; secure whatever is computed',
    found: /\bWegmanCarter\b/,
  },
  {
    name: 'Poly1305',
    primitive: 'mac',
    functions: ['tag', 'verify'],
    use: 'one-time tags of blocks, chunks and sifted strings: a new point and pad for each; secure whatever is computed',
    found: /\bRunningPoly1305\b|\bpoly1305\(/,
  },
  {
    name: 'Universal hashing',
    primitive: 'other',
    functions: ['generate'],
    use: 'privacy amplification and verification of a BB84 link',
    found: /[tT]oeplitz|MultiplyShift/,
  },
  {
    name: 'AES-256-GCM',
    primitive: 'ae',
    parameterSet: '256',
    functions: ['encrypt', 'decrypt', 'tag'],
    classicalBits: 256,
    quantumLevel: 5,
    use: 'key at rest, wrapped block keys, records of message channels',
    found: /'aes-256-gcm'|'AES-GCM'/,
  },
  {
    name: 'AES-CBC-CTS',
    primitive: 'block-cipher',
    parameterSet: '128 or 256',
    functions: ['encrypt', 'decrypt'],
    classicalBits: 128,
    quantumLevel: 1,
    use: 'Kerberos encryption types (RFC 3962, RFC 8009): the parameters are the KDC’s choice',
    found: /-cbc`|createDecipheriv\(cipher/,
  },
  {
    name: 'SHA-256',
    primitive: 'hash',
    parameterSet: '256',
    functions: ['digest'],
    classicalBits: 128,
    quantumLevel: 2,
    use: 'names of things, and inside HMAC and HKDF',
    found: /(createHash|hash|digest)\('sha256'/,
  },
  {
    name: 'SHA-512',
    primitive: 'hash',
    parameterSet: '512',
    functions: ['digest'],
    classicalBits: 256,
    quantumLevel: 5,
    use: 'transcripts, and inside HMAC and HKDF',
    found: /createHash\('sha512'/,
  },
  {
    name: 'SHA-1',
    primitive: 'hash',
    parameterSet: '160',
    functions: ['digest'],
    classicalBits: 80,
    quantumLevel: 0,
    use: 'key identifiers of certificates (RFC 5280) and Kerberos pseudo-random functions (RFC 3961): the standards name it',
    found: /createHash\('sha1'/,
  },
  {
    name: 'MD5',
    primitive: 'hash',
    parameterSet: '128',
    functions: ['digest'],
    classicalBits: 0,
    quantumLevel: 0,
    use: 'RADIUS over a unix socket of the KDC’s own machine (RFC 2865): the protocol allows nothing else',
    found: /createHash\('md5'|createHmac\('md5'/,
  },
  {
    name: 'HMAC-SHA-256',
    primitive: 'mac',
    parameterSet: '256',
    functions: ['tag', 'verify'],
    classicalBits: 256,
    quantumLevel: 5,
    use: 'key_IDs, rows of the store, proofs of agreement, TLS binders, webhooks',
    found: /createHmac\('sha256'|hmac(Tag|Key)\('sha256'|createHmac\(hash/,
  },
  {
    name: 'HMAC-SHA-512',
    primitive: 'mac',
    parameterSet: '512',
    functions: ['tag', 'verify'],
    classicalBits: 256,
    quantumLevel: 5,
    use: 'the ratchet of two sites, secrets of blocks, tags of PKCS#12 files',
    found: /createHmac\('sha512'|hmac(Tag|Key)\('sha512'/,
  },
  {
    name: 'HMAC of a Kerberos encryption type',
    primitive: 'mac',
    parameterSet: 'SHA-1-96, SHA-256-128 or SHA-384-192',
    functions: ['tag', 'verify'],
    classicalBits: 96,
    quantumLevel: 1,
    use: 'Kerberos encryption types: the parameters are the KDC’s choice',
    found: /createHmac\(profile\.hash/,
  },
  {
    name: 'HKDF',
    primitive: 'kdf',
    parameterSet: 'SHA-256 or SHA-512',
    functions: ['keyderive'],
    classicalBits: 256,
    quantumLevel: 5,
    use: 'keys for TLS, IPsec and Kerberos, hybrid masks, expanded blocks',
    found: /\bhkdf(Expand)?\(/,
  },
  {
    name: 'scrypt',
    primitive: 'kdf',
    functions: ['keyderive'],
    use: 'key encryption key from a passphrase (RFC 7914)',
    found: /\bscrypt\(/,
  },
  {
    name: 'PBKDF2',
    primitive: 'kdf',
    functions: ['keyderive'],
    use: 'Kerberos keys from passwords (RFC 3962, RFC 8009), PKCS#12 files',
    found: /pbkdf2/i,
  },
  {
    name: 'ML-KEM',
    primitive: 'kem',
    parameterSet: '768 or 1024',
    functions: ['keygen', 'encapsulate', 'decapsulate'],
    classicalBits: 192,
    quantumLevel: 3,
    use: 'secret of two sites and its refresh, links without a quantum channel (FIPS 203)',
    found: /\bml_kem(768|1024)\b|'ML-KEM-(768|1024)'|generateKeyPairSync\(name\.toLowerCase/,
  },
  {
    name: 'ML-DSA',
    primitive: 'signature',
    parameterSet: '65',
    functions: ['keygen', 'sign', 'verify'],
    classicalBits: 192,
    quantumLevel: 3,
    use: 'identity of a site: first round of a link, each refresh, checkpoints of the audit log (FIPS 204)',
    found: /\bml_dsa65\b|createMlDsa65\(/,
  },
  {
    name: 'ECDSA',
    primitive: 'signature',
    parameterSet: 'P-256',
    functions: ['keygen', 'sign', 'verify'],
    classicalBits: 128,
    quantumLevel: 0,
    use: 'certificates that qkd pki and qkd sae make',
    found: /generateKeyPair(Sync)?\('ec'/,
  },
  {
    name: 'Random bits of the operating system',
    primitive: 'drbg',
    functions: ['generate'],
    use: 'keys, nonces, shares of split keys; by node:crypto',
    found: /\brandom(Bytes|FillSync|UUID)\(/,
  },
]

export const protocols: readonly CryptoProtocol[] = [
  {
    name: 'TLS 1.3',
    type: 'tls',
    version: '1.3',
    use: 'every leg between hosts, KMSs and nodes, with X25519MLKEM768 where both ends have it; sessions under keys of the KMS',
    found: /'TLSv1\.3'/,
  },
  {
    name: 'TLS 1.2',
    type: 'tls',
    version: '1.2',
    use: 'hosts and KMEs that have no TLS 1.3',
    found: /'TLSv1\.2'/,
  },
  {
    name: 'IKEv2 with postquantum preshared keys',
    type: 'ike',
    version: '2',
    use: 'strongSwan does it; the toolkit gives it the keys (RFC 8784)',
    found: /\bPPK\b/,
  },
  {
    name: 'Kerberos 5',
    type: 'other',
    version: '5',
    use: 'MIT krb5 does it; the toolkit sets keys in its database and makes requests of its own (RFC 4120)',
    found: /RFC 4120/,
  },
]

/** Calls of node:crypto that use an algorithm: each line with one must be a line of `algorithms`. */
export const cryptoCalls =
  /\b(create(Cipheriv|Decipheriv|Hash|Hmac|Sign|Verify|ECDH|DiffieHellman)|scrypt(Sync)?|pbkdf2(Sync)?|hkdfSync|generateKeyPair(Sync)?|diffieHellman|random(Bytes|FillSync|UUID))\((?!\))|\b(hash|digest)\('(sha|md)/
