import { type AbortOptions, startDeadline, ViciError } from '../../../lib/index.ts'
import type { Link } from './link.ts'

/** How long charon may take to tell of what it has done, in milliseconds: events come after the answers to commands. */
const PROOF_TIMEOUT_MS = 5_000

/** What a new IKE_SA is known by. */
export interface ProofOptions extends Required<AbortOptions> {
  /** Undefined for a pre-shared key. */
  readonly ppkId: string | undefined
  /** Numbers of the IKE_SAs that were up before. */
  readonly before: ReadonlySet<string>
}

/**
 * The number of the new IKE_SA of a rotation, once charon has said of it what it must: that it uses the key, and that it is
 * up with all its children. Of a pre-shared key charon says no name; then it is the one that is not among `before`.
 * @throws {ViciError} charon did not say so in time, or the IKE_SA has no PPK
 */
export async function provenSa(
  { config, context }: Pick<Link, 'config' | 'context'>,
  { ppkId, before, signal }: ProofOptions,
): Promise<string> {
  const { watch } = context.charon
  using deadline = startDeadline(signal, PROOF_TIMEOUT_MS)
  try {
    const uniqueId =
      ppkId === undefined
        ? await watch.newcomer(config.name, before, deadline)
        : await watch.ppkUsed(config.name, ppkId, deadline)
    const children = config.children.map(({ name }) => name)
    const ppk = await watch.standing(uniqueId, children, deadline)
    if (config.mode === 'psk' || ppk) return uniqueId
  } catch (error) {
    if (!deadline.signal.aborted || signal.aborted) throw error
    throw new ViciError(`charon did not say within ${PROOF_TIMEOUT_MS} ms that the new IKE_SA stands on the key`)
  }
  throw new ViciError(`charon says that the new IKE_SA of ${config.name} has no PPK`)
}
