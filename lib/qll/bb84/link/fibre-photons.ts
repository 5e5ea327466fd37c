import { ChannelModel } from '../model/channel-model.ts'
import { bb84Preset } from '../model/presets.ts'
import { designFibre, type FibreDesign } from './fibre-design.ts'
import { createPhotonServer, type PhotonServer, type PhotonServerOptions } from './photon-server.ts'

/** The photon channel of a fibre link, in the words of its configuration. */
export interface FibrePhotonsOptions
  extends FibreDesign,
    Pick<PhotonServerOptions, 'linkId' | 'siteIds' | 'port' | 'host' | 'heartbeatMs'> {
  /** Share of the pulses that an eavesdropper intercepts and resends, 0 to 1. Default 0. */
  readonly interceptFraction?: number
}

/**
 * Serves the photons of a fibre link to its two ends, in a process of its own where they are in others.
 * @throws {InvalidArgumentError} no such preset, or a share that is none
 * @throws {LinkDownError} it can't listen there
 */
export function createFibrePhotons({
  interceptFraction = 0,
  preset,
  distanceKm,
  keyBits,
  ...rest
}: FibrePhotonsOptions): Promise<PhotonServer> {
  const { protocol } = designFibre({ preset, distanceKm, keyBits })
  const model = new ChannelModel(bb84Preset(preset).receiver, { lengthKm: distanceKm, interceptFraction })
  return createPhotonServer({ ...rest, protocol, keyBits, path: () => model })
}
