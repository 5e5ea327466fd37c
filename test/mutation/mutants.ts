// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are pieces of source

/** One defence taken out of the source, and the test that has to notice. */
export interface Mutant {
  /** What an attacker would gain. */
  readonly without: string
  /** Relative to the root of the project. */
  readonly file: string
  /** Stands in the file exactly once. */
  readonly find: string
  readonly replace: string
  /** The file of the test and its full title. */
  readonly test: string
  readonly title: string
}

const tls = (name: string) => `integrations/tls/${name}.ts`
const test = (name: string) => `test/integrations/tls/${name}.test.ts`
const GATE_KEY = 'the gate of a TLS server answers decrypt_error to every fault of identity or key'
const GATE_NO_LOOK_UP = 'the gate of a TLS server refuses without a look-up'
const TLS12_ORACLE = 'a TLS server that takes TLS 1.2 answers every fault of identity or key as it answers a wrong key'

/** Every defence of the TLS integration. */
export const tlsMutants: readonly Mutant[] = [
  // Downgrade to a certificate
  {
    without: 'suites in which OpenSSL heeds the key',
    file: tls('suites'),
    find: "export const CIPHERS = Object.keys(TLS13_SUITES).join(':')",
    replace: "export const CIPHERS = `TLS_AES_256_GCM_SHA384:${Object.keys(TLS13_SUITES).join(':')}`",
    test: test('downgrade'),
    title: 'a TLS server that has a certificate as well uses the key of a client that has one',
  },
  {
    without: 'the refusal of clients that bring no key',
    file: tls('admission'),
    find: "if (psk === undefined) throw refused('no-psk', 'The client offers no pre-shared key')",
    replace: 'if (psk === undefined) return new CertificateConnection() as never',
    test: test('downgrade'),
    title: 'a TLS server that has a certificate as well refuses a client that would do with the certificate',
  },
  {
    without: 'the key or nothing for a client that names a key',
    file: tls('admission'),
    find: "this.#settings.certificate === 'allow' && ours.length === 0",
    replace: "this.#settings.certificate === 'allow'",
    test: test('downgrade'),
    title:
      'a TLS server that has a certificate as well and lets clients with certificates in gives a client that names a key this key or nothing',
  },
  {
    without: 'the look at the session that came of the handshake, at the server',
    file: tls('admitted-connection'),
    find: 'if (this.#handshake === undefined || this.#socket !== socket) {',
    replace: 'if (this.#handshake === undefined) {',
    test: test('admitted-connection'),
    title: 'PskConnection confirms no session but the one that took its key',
  },
  {
    without: 'the look at what a session of the server stands on',
    file: tls('admitted-connection'),
    find: '    requirePskSession(socket)\n',
    replace: '    void requirePskSession\n',
    test: test('admitted-connection'),
    title: 'PskConnection confirms no session that does not stand on its key, though it took it',
  },
  {
    without: 'the look at what a session stands on',
    file: tls('session'),
    find: 'if (!socket.isSessionReused() || socket.getPeerX509Certificate() !== undefined) throw withoutKey()',
    replace: '',
    test: test('downgrade'),
    title: 'requirePskSession throws for a session under a certificate, at both ends',
  },
  {
    without: 'the look at what a session of TLS 1.2 stands on',
    file: tls('session'),
    find: 'if (!hasSuite || socket.isSessionReused() || socket.getPeerX509Certificate() !== undefined) throw withoutKey()',
    replace: 'void hasSuite',
    test: test('downgrade'),
    title: 'requireTls12PskSession throws for a session under a key that was resumed',
  },
  {
    without: 'TLS 1.3 unless another version is asked for',
    file: tls('suites'),
    find: "const { minVersion = 'TLSv1.3', tls12Suites, requireGroup } = options",
    replace: "const { minVersion = 'TLSv1.2', tls12Suites, requireGroup } = options",
    test: test('tls12-client'),
    title: 'connect with TLS 1.2 makes none unless it was asked for',
  },
  {
    without: 'the refusal of suites in which OpenSSL ignores the key',
    file: tls('admission'),
    find: 'if (cipherSuites.some(suite => numbers.includes(suite))) return',
    replace: 'if (numbers.length + cipherSuites.length > 0) return',
    test: test('refusals'),
    title: `${GATE_NO_LOOK_UP} a client that offers only suites in which OpenSSL ignores the key`,
  },
  {
    without: 'a client that trusts no authority',
    file: tls('client-handshake'),
    find: '    ca: [],\n',
    replace: '',
    test: test('downgrade'),
    title: 'connect trusts no authority, not even one that all of Node trusts',
  },
  {
    without: 'options that nobody can set at the client',
    file: tls('connect'),
    find: "  forbidOptions(options, FORCED, 'the pre-shared key needs its own value')\n",
    replace: '',
    test: test('downgrade'),
    title: 'connect takes no option with which a certificate could stand in for the key',
  },
  {
    without: 'the check of what a server was made with',
    file: tls('server'),
    find: 'if (Reflect.get(server, name) !== value) {',
    replace: 'if (value === null) {',
    test: test('attach'),
    title: 'attach refuses a server that was made without the options it needs, naming what is missing',
  },
  // Resumption after the key was erased
  {
    without: 'the refusal of tickets',
    file: tls('options'),
    find: 'secureOptions: secureOptions | constants.SSL_OP_NO_TICKET',
    replace: 'secureOptions: secureOptions | (constants.SSL_OP_NO_TICKET * 0)',
    test: test('downgrade'),
    title:
      'a TLS server that has a certificate as well and lets clients with certificates in resumes no session from a ticket, neither under a key nor under a certificate',
  },
  {
    without: 'the look at sessions that were resumed',
    file: tls('admitted-connection'),
    find: "if (socket.isSessionReused()) throw new HandshakeRefusal('downgrade', 'The session was resumed from a ticket')",
    replace: 'void socket',
    test: test('downgrade'),
    title:
      'a TLS server whose context was set anew without our options announces no session that was resumed from a ticket',
  },
  {
    without: 'the erasure of the bytes that OpenSSL was lent',
    file: tls('psk'),
    find: 'this.bytes.fill(0)',
    replace: 'void this.bytes',
    test: test('key-care'),
    title: 'the bytes of a key are wiped at both ends when the session stands (role, groups auto)',
  },
  // Mix-up of pooled sockets
  {
    without: 'names that keep pooled connections apart',
    file: tls('https-agent'),
    find: 'return `${super.getName(options)}:${this.#opener.nameOf(this.#peerOf(options as RequestTerms))}`',
    replace: 'return super.getName(options)',
    test: test('https-agent'),
    title:
      'QkdAgent on a port that takes certificates as well keeps the connections to each peer apart, though host and port are the same',
  },
  {
    without: 'one key for one socket',
    file: tls('admitted-connection'),
    find: 'return this.#socket === socket ? this.#handshake.lent.bytes : null',
    replace: 'return this.#handshake.lent.bytes',
    test: test('admitted-connection'),
    title: 'PskConnection gives its key to one socket, for its own identity, until it ends',
  },
  // Reflection
  {
    without: 'the list of peers',
    file: tls('admission'),
    find: 'const binding = names && this.#settings.peers.get(names.masterSaeId)',
    replace: "const binding = names && (this.#settings.peers.get(names.masterSaeId) ?? 'role')",
    test: test('connect'),
    title: 'connect never talks to itself through a reflector',
  },
  {
    without: 'roles in the key',
    file: tls('psk'),
    find: '|client=${masterSaeId}|server=${slaveSaeId}|${keyId}`\n  return',
    replace: '|${[masterSaeId, slaveSaeId].sort()}|${keyId}`\n  return',
    test: test('psk'),
    title: 'derivePsk binds a key to its client, its server and its key_ID',
  },
  {
    without: 'another key for TLS 1.2 than for 1.3',
    file: tls('psk'),
    find: "expand(secret, 'tls12', context)",
    replace: "expand(secret, 'tls13', context)",
    test: test('tls12'),
    title: `${TLS12_ORACLE} the key of TLS 1.3, which is another`,
  },
  // Replay
  {
    without: 'one handshake for one key',
    file: tls('admission'),
    find: "if (!named.key.claim()) throw refused('in-use', 'Another handshake has the key')",
    replace: 'named.key.claim()',
    test: test('refusals'),
    title: 'one key is refused to a replayed hello while in use and when spent, and the replay makes no session',
  },
  {
    without: 'the memory of keys that were used',
    file: tls('key-quarantine'),
    find: 'if (this.#spent.has(id)) return',
    replace: 'if (this.#spent.size < 0) return',
    test: test('refusals'),
    title: 'one key is refused to a replayed hello while in use and when spent, and the replay makes no session',
  },
  {
    without: 'one session for one key in TLS 1.2',
    file: tls('key-exchange'),
    find: "if (!key.claim()) throw new HandshakeRefusal('in-use', 'Another handshake has used the key')",
    replace: 'key.claim()',
    test: test('tls12'),
    title:
      'one key in TLS 1.2 makes exactly one session when two clients that have it present it at once, with one look-up',
  },
  {
    without: 'the refusal to negotiate anew',
    file: tls('session'),
    find: '  socket.disableRenegotiation()\n',
    replace: '',
    test: test('tls12'),
    title: 'a TLS server that takes TLS 1.2 negotiates nothing anew',
  },
  // Guesses
  {
    without: 'the caps on look-ups',
    file: tls('lookup-limits'),
    find: 'if (this.#pending >= this.#options.max || ofGroup >= this.#options.maxPerAddress) {',
    replace: 'if (this.#pending < 0) {',
    test: test('attacks'),
    title:
      'an attacker who guesses identities, 1,000 in a second makes few look-ups at a KMS that takes 20 ms, and leaves room for others',
  },
  {
    without: 'the second that a guess counts for its address',
    file: tls('lookup-limits'),
    find: 'if (missed) setTimeout(() => this.#leave(group), MISS_MS).unref()',
    replace: 'if (missed) setTimeout(() => this.#leave(group), MISS_MS * 0).unref()',
    test: test('attacks'),
    title:
      'an attacker who guesses identities, 1,000 in a second makes few look-ups at a KMS that takes 0 ms, and leaves room for others',
  },
  {
    without: 'one guess for one connection',
    file: tls('admission'),
    find: 'if (index === undefined || others.length > 0)',
    replace: 'if (index === undefined || others.length > 99)',
    test: test('refusals'),
    title: `${GATE_NO_LOOK_UP} a client that offers several guesses at once`,
  },
  {
    without: 'the proof that a client has its key',
    file: tls('admission'),
    find: 'if (!binderMatches(named.key.psk, truncatedHello, binder)) throw',
    replace: 'if (!binderMatches(named.key.psk, truncatedHello, binder) && binder.byteLength === 0) throw',
    test: test('refusals'),
    title: `${GATE_KEY} a key that is not the one the identity names`,
  },
  {
    without: 'keys that outlast attempts without proof',
    file: tls('admission'),
    find: "throw refused('binder', 'The client has another key')",
    replace: "throw (named.key.spend(), refused('binder', 'The client has another key'))",
    test: test('refusals'),
    title: 'one key is not lost to its client by attempts that do not prove it',
  },
  {
    without: 'one spelling for each key',
    file: tls('identity'),
    find: 'return UUID.test(keyId) ? keyId.toLowerCase() : keyId',
    replace: 'return keyId',
    test: test('refusals'),
    title: 'one key is one key in whatever case its UUID is written',
  },
  {
    without: 'a closed set of characters in identities',
    file: tls('identity'),
    find: 'const IDENTITY = /^q1~([A-Za-z0-9._@/-]+)~([A-Za-z0-9._@/-]+)$/',
    replace: 'const IDENTITY = /^q1~([A-Za-z0-9._@/-]+)~([^~]+)$/',
    test: test('refusals'),
    title: `${GATE_KEY} the identity q1~alice~a b, without a look-up`,
  },
  // Enumeration by alert
  {
    without: 'one alert for whatever is wrong with a key',
    file: tls('refusal'),
    find: "'unknown-key': 51",
    replace: "'unknown-key': 115",
    test: test('refusals'),
    title: `${GATE_KEY} an identity that the KMS does not know`,
  },
  {
    without: 'a handshake that goes on with a random key in TLS 1.2',
    file: tls('key-exchange'),
    find: 'this.#held.lent.bytes : this.#decoy',
    replace: 'this.#held.lent.bytes : null',
    test: test('tls12'),
    title: `${TLS12_ORACLE} an identity that the KMS does not know`,
  },
  {
    without: 'silence about keys until the end of a TLS 1.2 handshake',
    file: tls('key-exchange'),
    find: 'if (!concernsKey(this.#refusal)) throw this.#refusal',
    replace: 'throw this.#refusal',
    test: test('tls12'),
    title: `${TLS12_ORACLE} the same bytes, in number and kind, for a known key and an unknown one`,
  },
  // Weak keys and weak exchanges
  {
    without: 'the shortest key that is taken',
    file: tls('psk'),
    find: 'if (sizeBytes < MIN_PSK_BYTES || ',
    replace: 'if (',
    test: test('attacks'),
    title: 'an attacker who tries all keys of one byte finds none in a ClientHello of ours: it is never sent',
  },
  {
    without: '(EC)DHE beside the key',
    file: tls('admission'),
    find: "if (!pskModes.includes(PSK_DHE_KE)) throw refused('unsuitable', 'The client offers no (EC)DHE with its key')",
    replace: 'void PSK_DHE_KE, pskModes',
    test: test('refusals'),
    title: `${GATE_NO_LOOK_UP} a client that would use its key without (EC)DHE`,
  },
  {
    without: '(EC)DHE by default in TLS 1.2',
    file: tls('suites'),
    find: '(Object.keys(TLS12_EPHEMERAL_SUITES) as Tls12Suite[])',
    replace: '(Object.keys(TLS12_SUITES) as Tls12Suite[])',
    test: test('tls12'),
    title: 'a TLS server that takes TLS 1.2 takes a suite without (EC)DHE only where it is named',
  },
  {
    without: 'the group that is required',
    file: tls('client-handshake'),
    find: 'ecdhCurve: requireGroup ?? tlsGroups()',
    replace: 'ecdhCurve: tlsGroups()',
    test: test('groups'),
    title: 'requireGroup fails at the client, with a typed error, where the server has not the group',
  },
  // Slow and endless clients
  {
    without: 'the deadline of a hello',
    file: tls('peeked-socket'),
    find: 'setTimeout(() => this.#onDeadline(), options.deadlineMs)',
    replace: 'setTimeout(() => this.#onDeadline(), options.deadlineMs * 1000)',
    test: test('attacks'),
    title:
      'an attacker who sends a hello byte by byte, without end has no more time than one who is silent, and keeps nobody else out',
  },
  {
    without: 'a bound on clients that have not said who they are',
    file: tls('gate'),
    find: 'if (this.#waiting >= this.#settings.maxPending * WAITING_PER_LOOKUP) {',
    replace: 'if (this.#waiting < 0) {',
    test: test('refusals'),
    title: 'the gate of a TLS server holds a bounded number of clients that have not said who they are',
  },
  {
    without: 'a bound on clients of TLS 1.2 that have not named their key',
    file: tls('gate'),
    find: 'else if (connection.decided === undefined) this.#waiting -= 1',
    replace: 'else if (connection.decided !== null) this.#waiting -= 1',
    test: test('tls12'),
    title: 'a TLS server that takes TLS 1.2 holds a bounded number of clients that have not named their key',
  },
  {
    without: 'a bound on the bytes of a hello',
    file: tls('hello-reader'),
    find: 'if (chunk.byteLength > room) throw tooLong()',
    replace: 'void room',
    test: test('hello-reader'),
    title: 'HelloReader refuses too much after the hello as soon as it shows',
  },
]
