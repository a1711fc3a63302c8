// A still life: a glazed mug on a wooden table before shelves of books. povray +Imug.pov +Omug.png +W480 +H360 +A0.1
#version 3.7;
global_settings { assumed_gamma 1 max_trace_level 8 }
camera { location <0.2, 2.6, -6.2> look_at <0, 1.15, 0> angle 42 }
light_source { <-8, 12, -9> rgb <1, 0.92, 0.8> * 1.1 area_light <3,0,0>, <0,3,0>, 4, 4 adaptive 1 jitter }
light_source { <10, 6, -6> rgb <0.3, 0.33, 0.4> }

#declare Table = texture { pigment { wood turbulence 0.08 scale <0.25, 0.25, 3> rotate <4, 80, 0> color_map { [0 rgb <0.42, 0.25, 0.12>] [0.6 rgb <0.56, 0.36, 0.19>] [1 rgb <0.3, 0.17, 0.08>] } } normal { bumps 0.15 scale <1, 1, 0.05> } finish { specular 0.2 roughness 0.05 } }
box { <-8, -0.3, -6>, <8, 0, 2.6> texture { Table } }
// Shelves of books.
#declare R = seed(5);
box { <-8, -2, 4.6>, <8, 8, 4.8> pigment { rgb <0.2, 0.13, 0.08> } }
#declare Y = -0.6; #while (Y < 4)
  box { <-8, Y - 0.14, 2.9>, <8, Y, 4.6> texture { Table } }
  #local X = -6;
  #while (X < 6)
    #local T = 0.12 + 0.22 * rand(R); #local H = 1.1 + 0.45 * rand(R); #local C = rgb <0.15 + 0.5 * rand(R), 0.1 + 0.35 * rand(R), 0.1 + 0.4 * rand(R)>;
    box { <X, Y, 3.1 + 0.2 * rand(R)>, <X + T, Y + H, 4.5> pigment { gradient y scale H translate y * Y color_map { [0.12 C] [0.12 C * 1.8] [0.17 C * 1.8] [0.17 C] [0.8 C] [0.8 C * 0.4] [0.88 C * 0.4] [0.88 C] } } normal { bumps 0.2 scale 0.03 } }
    #local X = X + T + 0.015; #end
  #declare Y = Y + 1.85; #end
// Clutter on the table: a cloth, pebbles and crumbs.
box { <-7, 0, -0.6>, <-1.9, 0.02, 1.8> pigment { checker rgb <0.75, 0.72, 0.66> rgb <0.35, 0.45, 0.5> scale 0.22 } normal { bumps 0.4 scale 0.1 } rotate y * 8 }
#declare I = 0; #while (I < 140)
  #local X = (rand(R) - 0.5) * 9; #local Z = -3 + 5 * rand(R); #local S = 0.015 + 0.04 * rand(R);
  sphere { <X, S / 2, Z>, S scale <1, 0.7, 1> pigment { rgb <0.5, 0.42, 0.3> * (0.5 + rand(R)) } } #declare I = I + 1; #end

#declare Glaze = texture { pigment { gradient y scale 2.1 turbulence 0.08 color_map { [0 rgb <0.08, 0.2, 0.36>] [0.45 rgb <0.1, 0.33, 0.5>] [0.6 rgb <0.85, 0.82, 0.72>] [1 rgb <0.9, 0.87, 0.8>] } } normal { bumps 0.06 scale 0.2 } finish { specular 0.7 roughness 0.015 reflection 0.05 } }
union {
  difference { 
    lathe { cubic_spline 8, <0.4, -0.2>, <0.7, 0>, <0.92, 0.35>, <0.95, 1>, <0.88, 1.6>, <0.95, 2.05>, <0.9, 2.1>, <0.8, 2.0> }
    cylinder { <0, 0.15, 0>, <0, 3, 0>, 0.78 } }
  cylinder { <0, 0, 0>, <0, 0.12, 0>, 0.72 }
  torus { 0.55, 0.13 rotate x * 90 scale <1, 1.15, 1> translate <1.15, 1.05, 0> }
  texture { Glaze } }
cylinder { <0, 0.1, 0>, <0, 1.75, 0>, 0.78 pigment { rgb <0.12, 0.06, 0.03> } finish { specular 0.5 reflection 0.1 } }
