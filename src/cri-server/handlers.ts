/**
 * The types that a service implements to be served over CRI: one function per RPC, which gets the
 * decoded request and the call's context and returns the response. Everything around it (logging,
 * metrics, deadline, cancellation, error mapping, request checks) is the call wrapper's.
 *
 * Types only: every layer may `import type` from here, none may import it at run time.
 */
import type { handleClientStreamingCall, handleServerStreamingCall, handleUnaryCall } from '@grpc/grpc-js';
import type { CallContext } from '../telemetry/call-context.ts';
import type { ImagesHandlers as BerthImagesHandlers } from './generated/berth/v1/Images.ts';
import type { ImageServiceHandlers } from './generated/runtime/v1/ImageService.ts';
import type { RuntimeServiceHandlers } from './generated/runtime/v1/RuntimeService.ts';

export type Handler<Request, Response> = (request: Request, context: CallContext) => Promise<Response>;

/** A server-streaming RPC: an async generator. It ends when `context.signal` is aborted. */
export type StreamHandler<Request, Response> = (request: Request, context: CallContext) => AsyncIterable<Response>;

/** A client-streaming RPC. What it does not read is discarded. */
export type UploadHandler<Request, Response> = (requests: AsyncIterable<Request>, context: CallContext) => Promise<Response>;

type HandlerOf<Grpc> =
  Grpc extends handleServerStreamingCall<infer Request, infer Response>
    ? StreamHandler<Request, Response>
    : Grpc extends handleUnaryCall<infer Request, infer Response>
      ? Handler<Request, Response>
      : Grpc extends handleClientStreamingCall<infer Request, infer Response>
        ? UploadHandler<Request, Response>
        : never;

/** The generated handler interfaces also allow any other name; only the RPCs count here. */
type HandlersOf<Service> = {
  readonly [Name in keyof Service as string extends Name ? never : Name]: HandlerOf<Service[Name]>;
};

export type RuntimeHandlers = HandlersOf<RuntimeServiceHandlers>;

export type ImageHandlers = HandlersOf<ImageServiceHandlers>;

/** Berth's own service, proto/berth/v1/images.proto. */
export type BerthImageHandlers = HandlersOf<BerthImagesHandlers>;

/** What berthd serves. An RPC without a handler answers UNIMPLEMENTED. */
export type CriHandlers = Partial<RuntimeHandlers & ImageHandlers & BerthImageHandlers>;
