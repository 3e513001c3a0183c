//! Where a model's floats lie, as sums that the compiler does as far as it can.

use super::Dim::{Choices, Head, Inner, Is, Lambdas, Model, Passes, Taps, Width};
use super::{CHOICES, Dim, Form, Stored, Tensor};
use crate::config::ModelConfig;
use crate::parts::Parts;

/// A number of floats as a sum over the dimensions that tensors of floats have, so that what the compiler knows of it
/// is done once: a view of parameters is then a few additions, for every block of every token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    one: usize,
    model: usize,
    inner: usize,
    head: usize,
    lambdas: usize,
    width: usize,
    width_width: usize,
    taps_width: usize,
    passes: usize,
}

impl Size {
    const NONE: Self =
        Self { one: 0, model: 0, inner: 0, head: 0, lambdas: 0, width: 0, width_width: 0, taps_width: 0, passes: 0 };

    /// `n` tensors of a shape. A shape that is not foreseen does not compile.
    const fn of_shape(n: usize, shape: &[Dim]) -> Self {
        let mut size = Self::NONE;
        match shape {
            [Is(k)] => size.one = n * *k,
            [Choices] => size.one = n * CHOICES,
            [Model] => size.model = n,
            [Inner] => size.inner = n,
            [Head] => size.head = n,
            [Lambdas] => size.lambdas = n,
            [Width] => size.width = n,
            [Is(k), Width] => size.width = n * *k,
            [Choices, Width] => size.width = n * CHOICES,
            [Width, Width] => size.width_width = n,
            [Taps, Width] => size.taps_width = n,
            [Passes] => size.passes = n,
            _ => panic!("floats of a new shape: give Size a part for it"),
        }
        size
    }

    const fn and(self, other: Self) -> Self {
        Self {
            one: self.one + other.one,
            model: self.model + other.model,
            inner: self.inner + other.inner,
            head: self.head + other.head,
            lambdas: self.lambdas + other.lambdas,
            width: self.width + other.width,
            width_width: self.width_width + other.width_width,
            taps_width: self.taps_width + other.taps_width,
            passes: self.passes + other.passes,
        }
    }

    /// All floats of a table.
    pub(crate) const fn total(tensors: &[Tensor]) -> Self {
        let (mut size, mut i) = (Self::NONE, 0);
        while i < tensors.len() {
            if let Stored::Floats(forms) = tensors[i].stored {
                size = size.and(Self::of_shape(forms.len(), tensors[i].shape));
            }
            i += 1;
        }
        size
    }

    /// The number in a model of `config`.
    #[cfg_attr(not(unoptimized), inline(always))]
    pub(crate) const fn of(&self, config: &ModelConfig) -> usize {
        let mut n = self.one + self.model * config.d_model as usize;
        if self.inner > 0 {
            n += self.inner * Inner.of(config);
        }
        if self.head > 0 {
            n += self.head * Head.of(config);
        }
        if self.lambdas > 0 {
            n += self.lambdas * Lambdas.of(config);
        }
        if let Some(rcsm) = &config.rcsm {
            let width = rcsm.width as usize;
            n += (self.width + self.width_width * width + self.taps_width * (rcsm.taps as usize + 1)) * width;
            n += self.passes * rcsm.depths[2] as usize;
        }
        n
    }
}

/// Where the floats of a tensor lie among a table's, to be looked up at compile time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    start: Size,
    len: Size,
}

impl Place {
    /// Of the tensor `name`, which must be there and have floats of the form.
    pub(crate) const fn of(tensors: &[Tensor], name: &str, form: Form) -> Self {
        let mut tensor = 0;
        while !same(tensors[tensor].name, name) {
            tensor += 1;
        }
        let Stored::Floats(forms) = tensors[tensor].stored else { panic!("a matrix") };
        let mut n = 0;
        while forms[n] as u8 != form as u8 {
            n += 1;
        }
        let shape = tensors[tensor].shape;
        let (before, _) = tensors.split_at(tensor);
        Self { start: Size::total(before).and(Size::of_shape(n, shape)), len: Size::of_shape(1, shape) }
    }

    /// The tensor among the table's floats.
    #[cfg_attr(not(unoptimized), inline(always))]
    pub(crate) fn among<'a>(&self, config: &ModelConfig, floats: &'a [f32]) -> &'a [f32] {
        let (start, len) = self.range(config);
        floats.part(start, len)
    }

    /// From which float on, and how many.
    #[cfg_attr(not(unoptimized), inline(always))]
    pub(crate) const fn range(&self, config: &ModelConfig) -> (usize, usize) {
        (self.start.of(config), self.len.of(config))
    }
}

/// The floats of a tensor that a table of the schema names; that it does is checked at compile time.
macro_rules! tensor {
    ($config:expr, $floats:expr, $table:ident, $name:literal) => {
        $crate::schema::tensor!($config, $floats, $table, $name, AsIs)
    };
    ($config:expr, $floats:expr, $table:ident, $name:literal, $form:ident) => {{
        use $crate::schema::{self, Form, Place};
        const { &Place::of(schema::$table, $name, Form::$form) }.among($config, $floats)
    }};
}
pub(crate) use tensor;

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelConfig;
    use crate::schema::mixer;
    use crate::schema::tests::{models, tables};

    #[test]
    fn places_follow_each_other_without_gaps() {
        for tensors in tables() {
            let config = models().find(|config| mixer(config) == tensors).unwrap_or(ModelConfig::SUPERNOVA);
            let mut end = 0;
            for t in tensors {
                let Stored::Floats(forms) = t.stored else { continue };
                for &form in forms {
                    let (start, len) = Place::of(tensors, t.name, form).range(&config);
                    assert_eq!((start, len), (end, t.len(&config)), "{} {form:?}", t.name);
                    end += len;
                }
            }
            assert_eq!(end, Size::total(tensors).of(&config));
        }
    }
}
