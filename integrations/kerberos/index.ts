/**
 * Kerberos keyed from the KMS: key versions of cross-realm and service principals that two sites agree on, put before an
 * MIT KDC or into keytabs, and the formats this takes.
 *
 * @packageDocumentation
 */
export {
  checksum,
  checksumType,
  decrypt,
  type EncryptOptions,
  encrypt,
  prf,
  type StringToKeyOptions,
  stringToKey,
} from './crypto/encryption.ts'
export { ENCTYPES, type Enctype, type EnctypeProfile, enctypeProfile, type KerberosKey } from './enctype.ts'
export {
  type AcceptedClient,
  createGssAcceptor,
  type GssAcceptor,
  type GssAcceptorOptions,
} from './gssapi/gss-acceptor.ts'
export type { KerberosPackage, KerberosServer } from './gssapi/kerberos-package.ts'
export { createNegotiate, type Negotiate, type NegotiateOptions } from './gssapi/negotiate.ts'
export {
  type ChooseVersions,
  type DatabaseVersion,
  KdcDatabase,
  type KdcDatabaseOptions,
  type PrincipalState,
} from './kdb/kdc-database.ts'
export type { LockFileFault } from './kdb/lock-file.ts'
export { createKeyServer, type KeyServer, type KeyServerCounters, type KeyServerOptions } from './key-server.ts'
export { type KeytabEntry, readKeytab, writeKeytab } from './keytab.ts'
export {
  type Announcement,
  type KvnoEntry,
  type KvnoLookup,
  type KvnoState,
  KvnoTable,
  type KvnoTableOptions,
  kvnoOf,
  MAX_KVNO,
} from './kvno-table.ts'
export { type ApReq, decodeApReq, encodeApReq } from './messages/ap-req.ts'
export {
  type Authenticator,
  type AuthenticatorTarget,
  openAuthenticator,
  type SealAuthenticatorOptions,
  sealAuthenticator,
} from './messages/authenticator.ts'
export type { EncryptedData, MessageName } from './messages/common-fields.ts'
export {
  decodeTgsRep,
  decodeTgsReq,
  encodeTgsReq,
  type GrantedTicket,
  type TgsReq,
  type TgsRequest,
  type TicketGrant,
} from './messages/tgs-req.ts'
export { decodeTicket, encodeTicket, openTicket, type Ticket, type TicketContent } from './messages/ticket.ts'
export {
  createOtpVerifier,
  drawOneTimePassword,
  type OneTimePasswordOptions,
  type OtpRefusal,
  type OtpVerifier,
  type OtpVerifierOptions,
} from './otp/one-time-password.ts'
export { createOtpServer, type OtpServer, type OtpServerCounters, type OtpServerOptions } from './otp/otp-server.ts'
export { formatPrincipal, type PrincipalName, parsePrincipal, trustPrincipal } from './principal.ts'
