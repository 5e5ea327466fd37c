import { createInProcessTransport } from '../../lib/http/in-process-transport.ts'
import type { CertificateIdentity } from '../../lib/interface/http.ts'
import { httpTransportCompliance } from '../compliance/http-transport.ts'

const identity: CertificateIdentity = {
  commonName: 'sae-1',
  uriSans: [],
  dnsSans: [],
  fingerprint256: 'ab'.repeat(32),
  serialNumber: '01',
}

httpTransportCompliance({
  backend: 'in process',
  setup: async () => ({
    clientName: 'sae-1',
    open: async handler => createInProcessTransport(handler, { identity }),
  }),
  teardown: async () => {},
})
