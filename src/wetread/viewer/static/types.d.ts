// Types of the server's responses and of the modules; used by `tsc --checkJs` only.

export type VoiFunction = "LINEAR" | "LINEAR_EXACT" | "SIGMOID";
export type Severity = "info" | "warning" | "error";

export interface Column { name: string; type: "text" | "number" | "date" | "bool" | "list"; phi: boolean }
export interface Preset { key: string; name: string; center: number; width: number }

export interface About {
  title: string; version: string; rows: number; images: number; columns: Column[];
  readers: string[]; labels: string[]; boxes: boolean; predictions: boolean; consensus: boolean;
  box_columns: string[]; image_columns: string[]; start: { score: number; f1: number | null } | null;
  report: string | null; presets: Preset[]; masked: boolean; annotation: Annotation | null;
  /** Number of SEG and RTSTRUCT files. */
  masks: number;
}

export interface Row {
  id: string; path: string; member: string; read_status: string; Modality: string | null;
  Rows: number | null; Columns: number | null; PhotometricInterpretation: string | null;
  frames: number | null; problems: string[]; worst?: Severity | null; boxes: number;
  part: string | null; has_pixels: boolean; columns?: Record<string, unknown>; group?: Group;
  InstanceNumber?: number | null; slice_position_mm?: number | null; file_type?: string | null; outlines?: Outline[];
}
/** Series or study that a tile stands for; `file` for a file without a series. */
export interface Group {
  kind: "series" | "study" | "file"; frame: number; matching: number; files: number;
  series?: number; slices?: number; stacks?: number; volumes?: number; where?: string;
  description?: Record<string, unknown>;
}
/** Corners in stored pixels; TP, FP or the name of a reader. */
export type Outline = [number, number, number, number, string];
export interface Rows { total: number; offset: number; rows: Row[] }
export interface Position {
  offset: number | null; total: number; previous: string | null; next: string | null;
  previous_frame?: number | null; next_frame?: number | null;
}

export type FacetValue = [string | number | boolean | null, number, string?];
/** Predictions of the facet "score": how many there are, how many are below the minimum score, and the highest of these. */
export interface Hidden { predictions: number; hidden: number; highest: number | null }
export type Facet =
  | { kind: "values"; values: FacetValue[]; other: number; missing: number } & Partial<Hidden>
  | { kind: "histogram"; bins: [number | string, number | string, number][]; missing: number } & Partial<Hidden>;

export interface Problem { code: string; severity: Severity; text: string }
export interface Level { scale: number; rows: number; columns: number }
export interface View { name: string; kind: "window" | "lut"; center: number; width: number; function: VoiFunction }
export interface Spacing { row: number; column: number; source: string }

export interface Meta {
  id: string; path: string; rows: number; columns: number; frames: number; aspect: number;
  spacing: Spacing | null; photometric: string; modality: string; units: string; colour: boolean;
  bits: number; dtype: string; levels: Level[]; views: View[]; function: VoiFunction;
  invert: boolean; slope: number; intercept: number; modality_lut: boolean; varies?: boolean;
  padding: [number, number] | null; auto: { center: number; width: number } | null;
  full: { center: number; width: number } | null; range: [number, number] | null; steps: string[];
  problems: Problem[]; error: string | null; absent?: string; document?: boolean; label?: "SEG" | "RTSTRUCT" | null;
  series: { previous: string | null; next: string | null; position: number; count: number };
}

export interface Element {
  tag: string; keyword: string; vr: string; value: string; masked: boolean; items: Element[][] | null;
}

export interface Box {
  label: string; x0: number; y0: number; x1: number; y1: number;
  reader?: string; score?: number | null; kind?: string;
}
export interface Boxes { truth: Box[]; consensus: Box[] | null; predictions: Box[]; nothing?: string[] }

/** What a reader says about an image: a box, a point, the rejection of a box of others, or a verdict. */
export interface Content {
  kind: "box" | "point" | "reject" | "nothing" | "unsure" | "bad image";
  label?: string; frame?: number | null; corners?: [number, number, number, number]; target?: Target;
}
/** Box of a reader, the consensus or the model. */
export interface Target { from: string; label: string; corners: number[] }
export interface Stroke extends Partial<Content> {
  uuid: string; op: "put" | "delete" | "resolve"; image: string; item: string; base: number;
}
export interface Saved { status: string; revision: number; read: number }
export interface Annotations { items: { item: string; revision: number; stroke: Stroke | null }[]; conflicts: Stroke[] }
export interface Annotation { reader: string; labels: string[]; blind: boolean; read: number }

export interface Misses { total: number; images: { id: string; offset: number; fp: number; fn: number }[] }

/** Id of the image, frame, position in mm, path. */
export type Slice = [string, number, number | null, string];
export interface Mark { at: number; code: string; severity: Severity; text: string }
export interface StackEntry {
  id: string; frame: number; slices: number; volume: boolean; plane: string; divided_by: Record<string, string>;
}
export interface SeriesProblem extends Problem { id: string; frame: number | null; path: string; slice_position_mm: number | null }
export interface Series {
  id: string; modality: string | null; files: number; slices: number; volumes: number;
  description: Record<string, unknown>; problems: SeriesProblem[];
}
/** Slices around an image; `slices` is null for frames in the order of the file. */
export interface Stack {
  series: Series | null; slices: Slice[] | null; marks: Mark[]; stacks: StackEntry[];
  stack?: number; volume?: boolean; orientation?: number[]; alike?: boolean;
}

/** Axis of the array: voxels of `step` pixels, from the last one if flipped. */
export interface Axis { axis: number; flipped: boolean; step: number }
export interface PlaneGeometry { name: string; rows: number; columns: number; through: Axis; down: Axis; right: Axis }
export interface Volume {
  series: string; stack: number; image: { id: string; frame: number }; shape: number[]; affine: number[][];
  spacing: number[]; pixel: number; planes: PlaneGeometry[]; oblique: number; acquired: string;
  slices: [string, number][]; limit: string; others: VolumeEntry[];
}
export interface VolumeEntry {
  series: string; stack: number; modality: string | null; description: Record<string, unknown>;
  number: number | null; plane: string; slices: number; divided_by: Record<string, string>;
}

/** Segment of a label file; problems are code, severity and text. */
export interface MaskSegment {
  number: number; label: string | null; code: string | null; colour: string | null; aligned: boolean | null;
  voxels: number | null; volume_ml: number | null; slices: number; problems: [string, Severity, string][];
  /** True for a colour of the file, false for one of the palette. */
  own?: boolean;
}
/** Label file over a series; `segments` is null until they are decoded, `text` says why none is drawn. */
export interface MaskFile { id: string; path: string; kind: string; error: string | null; segments: MaskSegment[] | null; text: string }
/** Label file by itself: its first frame that is not empty, and the image that it is shown over. */
export interface LabelFile {
  id: string; kind: string; type: string; segments: MaskSegment[]; text: string; first: number | null;
  place: { series: string; stack: number; id: string; frame: number } | null;
}

/** Lines of depth, relationship to the line above, name, value, and true if it is masked. */
export interface Document { lines: [number, string, string, string, boolean][]; more: boolean }

/** A window in modality values; `lut` if the file has a look-up table instead. */
export interface Window {
  center: number; width: number; function: VoiFunction; name: string; lut: boolean;
}

/** Stored values of one frame at one scale; edge coordinate u is u * scale - shift in stored pixels. */
export interface Plane {
  rows: number; columns: number; scale: number; shift: number; dtype: string;
  data: Uint8Array | Int8Array | Uint16Array | Int16Array;
}

/** State encoded in the address. */
export interface Route {
  page: "grid" | "image" | "volume";
  id: string;
  group: "" | "series" | "study";
  /** Volume, and the position of its crosshair in mm. */
  series: string; stack: number; at: [number, number, number] | null;
  where: string; search: string; order: string; desc: boolean;
  frame: number; window: string; invert: boolean;
  zoom: number | null; x: number | null; y: number | null;
  /** Degrees clockwise: 0, 90, 180 or 270; then left and right exchanged. */
  rotate: number; flip: boolean;
  readers: string[] | null; labels: string[] | null; show: string | null; iou: number; score: number;
  tab: string;
  outlines: boolean;
}
