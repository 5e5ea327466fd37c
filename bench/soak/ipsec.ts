import { mishaps, survive } from '../../test/helpers/ipsec-mishaps.ts'
import { createIpsecPair, type IpsecPairOptions } from '../../test/helpers/ipsec-pair.ts'
import { type RotationTrial, rotatePskUnderPing, rotateUnderPing } from '../../test/helpers/ipsec-trial.ts'
import type { SoakOptions } from '../soak.ts'

/** Real charons, which the helpers start: needs root, Debian's strongSwan packages and /dev/net/tun. */
const ROTATIONS = 100

/**
 * Rotations under a ping every 10 ms, on PPKs and half as many on pre-shared keys, then a fifth as many rounds of everything
 * that may go wrong. More than one ping lost in one rotation of twenty, or more than three in any, is a breach.
 */
export async function run({ count = ROTATIONS, log }: SoakOptions): Promise<void> {
  await rotations('ppk', {}, { count, log })
  await rotations('psk', { connection: { mode: 'psk' } }, { count: Math.ceil(count / 2), log })
  const rounds = Math.ceil(count / 5)
  for (const mishap of mishaps) {
    const beganMs = performance.now()
    await survive(mishap, rounds)
    log(`${mishap.name}: ${rounds} times, ${((performance.now() - beganMs) / 1000).toFixed(0)} s`)
  }
}

async function rotations(
  mode: 'ppk' | 'psk',
  options: IpsecPairOptions,
  { count, log }: { count: number; log: (line: string) => void },
): Promise<void> {
  await using pair = await createIpsecPair(options)
  await pair.start()
  const trial: RotationTrial = await (mode === 'psk' ? rotatePskUnderPing : rotateUnderPing)(pair, count)
  const { report, gentle, worst } = trial
  log(
    `${mode}: ${count} rotations, ${report.lost} of ${report.sent} pings lost, at most ${worst} in one, ` +
      `${(gentle * 100).toFixed(0)} of 100 lost at most one; longest gap ${report.longestGapMs.toFixed(1)} ms`,
  )
  if (gentle < 0.95) throw new Error(`Only ${(gentle * 100).toFixed(1)} % of the rotations lost at most one ping`)
  if (worst > 3) throw new Error(`One rotation lost ${worst} pings`)
}
