import type { KmeProfileName } from '../../../lib/etsi014/kme-profile.ts'
import { arnikaMock } from './species/arnika-mock.ts'
import { dkms } from './species/dkms.ts'
import { dske } from './species/dske.ts'
import { etsiQkdRest } from './species/etsi-qkd-rest.ts'
import { guardian } from './species/guardian.ts'
import { lowerCase } from './species/lower-case.ts'
import { merqury } from './species/merqury.ts'
import { nextDoor } from './species/next-door.ts'
import { pyQkdKmeSim } from './species/py-qkd-kme-sim.ts'
import { qkdKmeServer } from './species/qkd-kme-server.ts'
import { qkdNet } from './species/qkd-net.ts'
import { qkdnetsim } from './species/qkdnetsim.ts'
import { qukaydee } from './species/qukaydee.ts'
import { transeuroogs } from './species/transeuroogs.ts'
import { standardKme } from './standard.ts'
import type { ZooBehaviour } from './zoo-kme.ts'

/** A KME of somebody's make, as far as it is known to differ from the standard. */
export interface Species {
  readonly behaviour: ZooBehaviour
  /** True for those without TLS. */
  readonly plain?: boolean
  readonly prefix?: string
}

/** One for each compatibility profile, under its name. */
export const species: Readonly<Record<KmeProfileName, Species>> = {
  etsi: { behaviour: standardKme() },
  lenient: { behaviour: lowerCase },
  qukaydee: { behaviour: qukaydee },
  'next-door': { behaviour: nextDoor },
  'py-qkd-kme-sim': { behaviour: pyQkdKmeSim },
  'qkd-kme-server': { behaviour: qkdKmeServer },
  merqury: { behaviour: merqury },
  'etsi-qkd-rest': { behaviour: etsiQkdRest },
  guardian: { behaviour: guardian },
  dske: { behaviour: dske, prefix: '/client/curtis/etsi' },
  'qkd-net': { behaviour: qkdNet },
  qkdnetsim: { behaviour: qkdnetsim, plain: true },
  'arnika-mock': { behaviour: arnikaMock, plain: true },
  dkms: { behaviour: dkms },
  transeuroogs: { behaviour: transeuroogs },
}
