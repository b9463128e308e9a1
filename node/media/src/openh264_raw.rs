//! The few calls of the encoder that its safe wrapper has no words for. The only file of the node
//! where `unsafe` is allowed.
//!
//! Each function hands the C side a pointer to a local variable of the type that the option is
//! documented to take, which outlives the call; nothing is kept.

#![allow(unsafe_code, reason = "the wrapper offers these options by its raw interface alone")]

use std::ffi::{c_int, c_void};

use openh264::encoder::Encoder;
use openh264_sys2::{
    ENCODER_OPTION, ENCODER_OPTION_BITRATE, ENCODER_OPTION_TRACE_LEVEL, SBitrateInfo,
    SPATIAL_LAYER_ALL, WELS_LOG_QUIET,
};

unsafe extern "C" {
    /// Of the library's common part: which instruction sets its hand-written routines may use. A
    /// library that was built without them always answers 0.
    fn WelsCPUFeatureDetect(logical_processors: *mut c_int) -> u32;
}

/// Whether the encoder uses its hand-written routines. Without them (no `nasm` when it was built)
/// it takes 2.4 times as long.
pub fn is_fast() -> bool {
    let mut processors: c_int = 0;
    // SAFETY: the function writes one int through the pointer, at most, and touches nothing else.
    unsafe { WelsCPUFeatureDetect(&raw mut processors) != 0 }
}

/// Keeps the library from writing to standard error. The wrapper does so too, but only after it has
/// started the encoder, which is when the library has most to say.
pub(super) fn silence(encoder: &mut Encoder) {
    let mut level: c_int = WELS_LOG_QUIET;
    set(encoder, ENCODER_OPTION_TRACE_LEVEL, &mut level);
}

/// Sets the bitrate of a started encoder from the next picture on, without a keyframe.
///
/// The answer is not looked at: it is 1 where the rate was raised above the first one, and the rate
/// is set all the same.
pub(super) fn set_bitrate(encoder: &mut Encoder, bits_per_second: i32) {
    let mut info = SBitrateInfo { iLayer: SPATIAL_LAYER_ALL, iBitrate: bits_per_second };
    set(encoder, ENCODER_OPTION_BITRATE, &mut info);
}

fn set<T>(encoder: &mut Encoder, option: ENCODER_OPTION, value: &mut T) {
    let value: *mut c_void = std::ptr::from_mut(value).cast();
    // SAFETY: the callers above pair each option with the type that it is documented to read, and
    // neither option changes what the wrapper relies on (sizes, layers, the picture format).
    unsafe {
        encoder.raw_api().set_option(option, value);
    }
}
