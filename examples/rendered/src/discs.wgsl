// Instanced discs: a quad for each instance, cut round in the fragment shader.

override width: f32;
override height: f32;

struct Disc {
    @builtin(position) clip: vec4f,
    @location(0) corner: vec2f, // in units of the radius
    @location(1) radius: f32,
    @location(2) colour: vec4f,
}

@vertex
fn vertex(
    @builtin(vertex_index) index: u32, // of a strip of 4
    @location(0) centre: vec2f,        // in pixels, y downwards
    @location(1) radius: f32,
    @location(2) colour: vec4f,
) -> Disc {
    let corner = vec2f(f32(index & 1u), f32(index >> 1u)) * 2.0 - 1.0;
    let at = (centre + corner * radius) / vec2f(width, height);
    return Disc(vec4f(at.x * 2.0 - 1.0, 1.0 - at.y * 2.0, 0.0, 1.0), corner, radius, colour);
}

@fragment
fn fragment(disc: Disc) -> @location(0) vec4f {
    // The last pixel of the radius fades out.
    let inside = saturate((1.0 - length(disc.corner)) * disc.radius);
    return vec4f(disc.colour.rgb, disc.colour.a * inside);
}
